def spread(values, unit):
    highest = max(values)
    return 100 / (highest - min(values) - values[11]), unit
