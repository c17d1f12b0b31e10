"""The verbs of ``cxr``, a module each, with one function of the module's name.

The command line is made from the function: its parameters are the arguments and options, its docstring is the help, and
what it returns is the exit code. What is slow to import it imports by name once its arguments are checked, so that help
and refusals answer at once. ``CONTEXT_SETTINGS`` in a verb's module are typer's settings of that verb.
"""
