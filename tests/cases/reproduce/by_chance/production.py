import time

from dice.roll import roll

roll(6, time.time())
