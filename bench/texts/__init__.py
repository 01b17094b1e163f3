"""On which texts: STS files where they are at hand, composed sentences elsewhere, and what a run takes of them."""
