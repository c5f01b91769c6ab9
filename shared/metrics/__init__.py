"""What Prometheus is told, one file per family, and the server that tells it.

Every name begins with `brain_tumor_`; units are seconds and bytes. Labels take few values that are known
beforehand: kinds, stages, codes, never an id and nothing of a patient. The library keeps its metrics in
modules, made at import: that is where they stand here too.
"""
