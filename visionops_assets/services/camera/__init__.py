"""The camera service: reads streams, each in a child process, and uploads clips and stills."""
