"""One file a backend: lowers the int8 program to an artefact and opens it again."""
