"""What can be set, one file per family. `shared.settings` puts them together and reads the values.

Each family names what is missing or wrong in its own fields with `problems`: lines of `NAME: what to do`.
"""
