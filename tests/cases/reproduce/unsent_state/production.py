from letters.writing import Writer

writer = Writer()
writer.bullet = ""
writer.item("butter")
