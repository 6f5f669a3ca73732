from scales.weigh import bill

bill([["tea", 100], ["pots", 900]], {"tea": 0.07, "pots": 19})
