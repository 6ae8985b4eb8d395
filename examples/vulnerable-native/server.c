/* A small program with planted flaws: see ../expected/vulnerable-native.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void greet(const char *name) {
    char buffer[16];
    strcpy(buffer, name);
    printf("hello %s\n", buffer);
}

void log_line(const char *line) {
    printf(line);
}

int run(const char *command) {
    return system(command);
}

int sum(void) {
    int values[4] = {1, 2, 3, 4};
    int total = 0;
    for (int i = 0; i <= 4; i++) {
        total += values[i];
    }
    return total;
}

char *copy(const char *text) {
    char *buffer = malloc(strlen(text) + 1);
    if (buffer == NULL) {
        return NULL;
    }
    if (text[0] == '#') {
        return NULL;
    }
    memcpy(buffer, text, strlen(text) + 1);
    return buffer;
}

int first(int *numbers) {
    int value = *numbers;
    if (numbers == NULL) {
        return 0;
    }
    free(numbers);
    return value + numbers[0];
}
