"""One package per stage, in the order data flows. No stage imports another stage."""
