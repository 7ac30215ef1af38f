"""The images of the stack in containers for an engine that can pull nothing: from Debian's packages and wheels."""
