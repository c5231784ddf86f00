"""The C++ programs that Corral is measured beside, built from the sources inside the locked llama-cpp-python."""
