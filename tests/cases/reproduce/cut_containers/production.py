from stats.spread import spread

spread([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 10], "cm")
