"""One camera's stream, cut into clips and stills by a child process."""
