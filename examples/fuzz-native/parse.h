#include <stddef.h>
#include <stdint.h>

int parse_name(const uint8_t *data, size_t size);
int parse_list(const uint8_t *data, size_t size);
int parse_age(const uint8_t *data, size_t size);
