from feeds.reader import read

read("7,8,nine", skip=1)
