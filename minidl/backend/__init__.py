"""Which library holds an array, and where; random streams; memory layout. The only importer of CuPy."""
