"""The camera service: reads streams, each in a child process, and uploads what is cut of them."""
