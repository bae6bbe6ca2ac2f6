"""Evidence of the judged nights to cases, with what people decided."""
