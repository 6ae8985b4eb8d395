/* Nothing is wrong here. */
#include <stdio.h>

void greet(const char *name) {
    char buffer[16];
    int length = snprintf(buffer, sizeof buffer, "%s", name);
    if (length > 0) {
        puts(buffer);
    }
}

int sum(void) {
    const int values[4] = {1, 2, 3, 4};
    int total = 0;
    for (int i = 0; i < 4; i++) {
        total += values[i];
    }
    return total;
}
