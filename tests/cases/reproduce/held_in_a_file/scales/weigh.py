def price(grams, rate):
    if rate > 1:
        raise ValueError(f"a rate is a fraction, not {rate}")
    return grams * rate


def bill(parcels, rates):
    return sum(price(grams, rates[kind]) for kind, grams in parcels)
