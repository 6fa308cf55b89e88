"""What speaks to our services from outside, as any client of the company would: over HTTP."""
