"""The faults that `stack.break` can inject: each is one module, named by its code.

Its `inject(injector: FaultInjector) -> str` does it in the words of the injector, and says in one sentence what was
done. Nothing else lists them.
"""
