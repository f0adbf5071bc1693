"""Students beside foreign networks: `__main__` is the command, `networks` opens both kinds, `measure` scores and times them.

It is a command of `edge`, which measures finished files, and no script beside the packages: users compare their own.
"""
