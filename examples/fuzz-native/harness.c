#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    switch (data[0]) {
    case 'n':
        parse_name(data + 1, size - 1);
        break;
    case 'l':
        parse_list(data + 1, size - 1);
        break;
    case 'a':
        parse_age(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
