/* What wheels written in Rust ask Windows 10 for, and Wine 8 lacks: random bytes, as RtlGenRandom gives them. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) { return SystemFunction036(buffer, length); }
