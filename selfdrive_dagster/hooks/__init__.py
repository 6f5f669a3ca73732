"""What product teams add to their own set-up. Each file is whole: copied, it needs only their SDK.

Belongs here: code that runs inside a product. Does not belong: anything that the loop imports.
"""
