"""The program `crm-runbook`: the tasks of tasks.py, interruptible from the first moment on."""

from runbook.interrupts import become_interruptible


def main() -> None:
    """Run the tasks that the command line names."""
    become_interruptible()
    from tasks import program  # noqa: PLC0415 - Invoke takes a tenth of a second; Ctrl-C counts before it is there

    program.run()


if __name__ == "__main__":
    main()
