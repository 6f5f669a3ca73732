from names.parse import monogram

monogram("  Ann  Lee ")
