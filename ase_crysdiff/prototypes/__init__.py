"""Known crystals as prototypes for others: a library, which of them suit a composition, and which
elements may take their places.
"""
