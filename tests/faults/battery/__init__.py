"""Inputs and faults that a package of this kind meets, each judged by a known right result or by its message.

`world` makes the data, models and files; `judge` says what came of a case; every other module yields the cases of one
kind of fault.
"""
