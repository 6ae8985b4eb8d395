/* Greets whoever is named. The flaws of the programs made from it are in how they are built: the end-to-end tests
   build them, see ../expected/vulnerable-binary.json. */
#include <stdio.h>
#include <string.h>

#ifdef SHIPS_A_KEY
/* Made up, and of no use: only its beginning looks like a key. */
const char key[] = "-----BEGIN RSA " "PRIVATE KEY-----\n"
                   "bm90IGEga2V5IGF0IGFsbCwganVzdCBh\n";
const char zlib[] = " inflate 1.2.11 Copyright 1995-2017 Mark Adler ";
#else
const char key[] = "-----BEGIN PUBLIC KEY-----\n";
const char zlib[] = " inflate 1.3.1 Copyright 1995-2024 Mark Adler ";
#endif

#ifdef MIXES_CODE_AND_DATA
/* A section that is writable and executable, as hand-written loaders have it. */
__attribute__((section(".mixed,\"awx\",@progbits#"), used)) static char patched[16] = {1};
#endif

int main(int argc, char **argv) {
    char name[32];
    if (argc < 2) {
        return 2;
    }
    strncpy(name, argv[1], sizeof name - 1);
    name[sizeof name - 1] = 0;
    printf("hello %s%s%s\n", name, argc > 9 ? key : "", argc > 9 ? zlib : "");
    return 0;
}
