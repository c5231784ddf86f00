"""What the machine under Corral is: cores, memory, CPU, GPUs, and what llama.cpp was built for."""
