/* Parsers with planted flaws that a fuzzer must reach: see ../expected/fuzz-native.json. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

/* The length byte is believed if the name is quoted: a write behind the buffer. */
int parse_name(const uint8_t *data, size_t size) {
    if (size < 2) {
        return -1;
    }
    char *name = malloc(8);
    size_t length = data[0] & 31;
    if (length > size - 1) {
        length = size - 1;
    }
    if (data[1] != '"' && length > 8) {
        length = 8;
    }
    memset(name, 0, 8);
    for (size_t i = 0; i < length; i++) {
        name[i] = (char)data[1 + i];
    }
    int first = name[0];
    free(name);
    return first;
}

/* A list that is given back twice when it is empty. */
__attribute__((noinline)) static void drop(int *list) {
    free(list);
}

int parse_list(const uint8_t *data, size_t size) {
    int *list = calloc(4, sizeof(int));
    for (size_t i = 0; i < size && i < 4; i++) {
        list[i] = data[i];
    }
    int sum = list[0] + list[1] + list[2] + list[3];
    if (size == 0) {
        drop(list);
    }
    drop(list);
    return sum;
}

/* Looks like parse_name, and checks the length. */
int parse_age(const uint8_t *data, size_t size) {
    char digits[4] = {0};
    size_t length = size < 3 ? size : 3;
    memcpy(digits, data, length);
    return atoi(digits);
}
