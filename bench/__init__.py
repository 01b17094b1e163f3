"""Measurements of embedrt beside the systems that its users come from."""
