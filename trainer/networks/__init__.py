"""The four nets of the published table, in Keras layers of no particular backend.

``plan`` is the table as data and imports nothing heavy; ``build`` makes a Keras model of it.
"""
