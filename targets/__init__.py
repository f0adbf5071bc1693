"""Backends: each lowers a program to an artefact for one runtime, and opens it again. Start reading at `targets.base`.

`spec` describes a backend, `base` lists them, `common` has what they share, `graph` analyses programs, `patches` fixes other
libraries' code. One folder each: `torch` (the program itself), `executorch`, `tflite`, `coreml`, `onnx`, `tensorrt`.
"""
