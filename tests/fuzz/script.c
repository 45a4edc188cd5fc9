/* Shell scripts, parsed: K24. */
#include <string.h>

#include "apps/sh/parse.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct script script = {0};
    struct parse_error error = {0};
    enum parse_result result = script_parse(&script, (const char *)copy, size, 1, &error);

    if (result != PARSE_OK)
        FUZZ_ASSERT(error.line >= 1 && strlen(error.what) > 0 && strlen(error.what) < sizeof(error.what));
    free(copy); /* the tree points into a copy of its own */
    for (const struct node *node = result == PARSE_OK ? script.root : NULL; node; node = node->body[0])
        FUZZ_ASSERT(node->source.len <= size && (!node->source.len || node->source.text));
    script_free(&script);
    return 0;
}
