/* Stands in for bcryptprimitives.dll, which Wine has from 8.13 on: of it, programs in Rust need one function. */
#include <stddef.h>
unsigned char __stdcall SystemFunction036(void *buffer, unsigned long length);
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, size_t length) {
    return SystemFunction036(buffer, (unsigned long)length);
}
