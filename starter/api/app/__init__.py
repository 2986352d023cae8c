"""A small app on DriftQ, meant for copying: an API that starts runs, and a worker that does them."""
