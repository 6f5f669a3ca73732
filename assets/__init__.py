"""The app: one thin file per stage, and the definitions. The library does not know it."""
