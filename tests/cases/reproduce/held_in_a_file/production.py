import json

from scales.weigh import bill

with open("scales/rates.json") as file:
    bill([["tea", 100], ["pots", 900]], json.load(file))
