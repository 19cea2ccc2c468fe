"""The calculus: one file a family, with forward, backward and the public function side by side."""
