from invoke import Collection, Program
namespace = Collection()
program = Program(namespace=namespace)
