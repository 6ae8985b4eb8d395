/* The warehouse agent: prints labels and reports stock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void label(const char *name) {
    char text[32];
    strcpy(text, name);
    printf(text);
}

static void label_safe(const char *name) {
    char text[32];
    snprintf(text, sizeof text, "%s", name);
    printf("%s\n", text);
}

static void print(const char *printer) {
    char command[128];
    snprintf(command, sizeof command, "lpr -P %s label.pdf", printer);
    system(command);
}

static void reset(void) {
    char state[16];
    strcpy(state, "idle");
    system("systemctl restart agent");
}

int main(int argc, char **argv) {
    char line[80], word[16];
    gets(line);
    fgets(line, sizeof line, stdin);
    sscanf(line, "%s", word);
    sscanf(line, "%15s", word);
    chmod("/var/lib/agent/state", 0666);
    chmod("/var/lib/agent/state", 0600);
    label(argc > 1 ? argv[1] : "none");
    label_safe(word);
    print(word);
    reset();
    return 0;
}
