/* Every call number: those that exist, and those that do not; registers; handles and rights. */
#include "bare.h"

#define PATTERN 0x5a5a5a5a5a5a5a5aull

static const struct {
    const char *name;
    unsigned nargs;
} calls[] = {
#define CALL_NAME(name, nargs, args, what) [EXO_CALL_##name] = {#name, nargs},
    EXO_CALLS(CALL_NAME)
#undef CALL_NAME
};

static void fill(uint64_t x[RAW_REGISTERS], uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        x[i] = value;
}

static bool zero_from(const uint64_t x[RAW_REGISTERS], unsigned first)
{
    uint64_t any = 0;

    for (unsigned i = first; i < RAW_REGISTERS; i++)
        any |= x[i];
    return any == 0;
}

static void check_numbers(void)
{
    static const uint64_t beyond[] = {EXO_NCALLS,
                                      EXO_NCALLS + 1,
                                      63,
                                      64,
                                      127,
                                      200,
                                      255,
                                      256,
                                      4096,
                                      1ull << 31,
                                      1ull << 32,
                                      (1ull << 32) + EXO_CALL_null,
                                      (uint64_t)INT64_MAX,
                                      1ull << 63,
                                      UINT64_MAX};
    bool right = true, zeros = true;

    for (unsigned i = 0; i < sizeof(beyond) / sizeof(*beyond); i++) {
        uint64_t x[RAW_REGISTERS];

        fill(x, PATTERN);
        raw_call(beyond[i], x);
        right &= x[0] == (uint64_t)-EXO_ENOCALL;
        zeros &= zero_from(x, 1);
    }
    check("K14 a number that names no call: EXO_ENOCALL", right);
    check("x1 to x18 are zero after a call that does not exist", zeros);
}

/* Those that would end the program, or give up what it needs, are left out. */
static bool harmless(uint64_t number)
{
    return number != EXO_CALL_env_exit && number != EXO_CALL_resume && number != EXO_CALL_space_create &&
           number != EXO_CALL_log_write;
}

static void check_bad_handle(uint64_t handle, bool *error, bool *zeros)
{
    for (uint64_t number = 0; number < EXO_NCALLS; number++) {
        uint64_t x[RAW_REGISTERS];

        if (!harmless(number))
            continue;
        fill(x, handle);
        x[7] = 0; /* a deadline that has passed */
        if (number == EXO_CALL_wait)
            x[1] = 0;
        raw_call(number, x);
        if (calls[number].nargs && number != EXO_CALL_wait && (int64_t)x[0] >= 0) {
            print("# ");
            print(calls[number].name);
            print(" accepts the handle ");
            print_hex(handle);
            print("\n");
            *error = false;
        }
        *zeros &= zero_from(x, 1);
    }
}

static void check_handles(void)
{
    static const uint64_t wild[] = {100,        1000,       0x3fff,  0x4001,     0x7fffffff,
                                    1ull << 31, 1ull << 32, PATTERN, UINT64_MAX, 0xffffff8000000000};
    bool error = true, zeros = true;

    for (unsigned i = 0; i < sizeof(wild) / sizeof(*wild); i++)
        check_bad_handle(wild[i], &error, &zeros);
    check("K5 every call refuses wild handles", error);
    check("x1 to x18 are zero after every refused call", zeros);
    check_is("K5 handle 0 names nothing", exo_page_unmap(0, SPARE, 1, 0), -EXO_EHANDLE);
    check_is("K21 a handle of another generation names nothing",
             exo_page_unmap(EXO_SELF_SPACE + (1u << EXO_HANDLE_INDEX_BITS), SPARE, 1, 0), -EXO_EHANDLE);
    check_is("a handle of another type: EXO_ETYPE", exo_page_unmap(EXO_SELF_ENV, SPARE, 1, 0), -EXO_ETYPE);
    check_is("a gate is no event", exo_signal(EXO_FIRST_VCPU, 1), -EXO_ETYPE);
}

static void check_registers(void)
{
    uint64_t x[RAW_REGISTERS];

    fill(x, PATTERN);
    raw_call(EXO_CALL_null, x);
    check("null returns 0, and x1 to x18 as zero", zero_from(x, 0));
    fill(x, 0);
    raw_call(EXO_CALL_yield, x);
    check("yield returns 0, and x1 to x18 as zero", zero_from(x, 0));
    fill(x, 0);
    raw_call(EXO_CALL_wait, x);
    check("wait returns 0, and x1 to x18 as zero", zero_from(x, 0));
    check_is("x19 to x30 and sp are kept", (int64_t)raw_kept(), 0);
    check_is("log_write takes 48 bytes", exo_log_write(48, 0x6f6c6c6568, 0, 0, 0, 0, 0), 48);
    check_is("and not 49", exo_log_write(49, 0, 0, 0, 0, 0, 0), -EXO_ERANGE);
}

void check_calls(void)
{
    check_numbers();
    check_registers();
    check_handles();
}

/* ---- capabilities --------------------------------------------------------------------------------------- */

static exo_handle_t grant_self(exo_handle_t cap, unsigned rights, uint64_t a, uint64_t b)
{
    return (exo_handle_t)exo_cap_grant(EXO_SELF_ENV, cap, rights, a, b);
}

static void check_rights(void)
{
    exo_handle_t weak = grant_self(EXO_SELF_SPACE, EXO_RIGHT_COPY, 0, 0);
    exo_handle_t fixed = grant_self(EXO_SELF_SPACE, EXO_RIGHT_USE, 0, 0);

    check("a capability can be granted to oneself with fewer rights",
          (int32_t)weak > 0 && (int32_t)fixed > 0);
    check_is("without USE a space cannot be mapped into",
             exo_page_alloc(weak, SPARE, 1, EXO_WANT_ANY, EXO_PROT_READ), -EXO_ERIGHTS);
    check_is("without READ it cannot be mapped out of",
             exo_page_map(EXO_SELF_SPACE, SPARE, fixed, EXO_FIRST_VCPU_VA, 1, EXO_PROT_READ), -EXO_ERIGHTS);
    check_is("rights cannot grow", exo_cap_grant(EXO_SELF_ENV, weak, EXO_RIGHT_COPY | EXO_RIGHT_USE, 0, 0),
             -EXO_ERIGHTS);
    check_is("nor with bits that are no right", exo_cap_grant(EXO_SELF_ENV, EXO_SELF_SPACE, 1u << 7, 0, 0),
             -EXO_ERIGHTS);
    check_is("without COPY it cannot be granted on", exo_cap_grant(EXO_SELF_ENV, fixed, EXO_RIGHT_USE, 0, 0),
             -EXO_ERIGHTS);
    check_is("without MANAGE a space cannot be destroyed", exo_space_destroy(fixed), -EXO_ERIGHTS);
    check_is("a capability is dropped", exo_cap_drop(weak), 0);
    check_is("its handle names nothing then", exo_cap_drop(weak), -EXO_EHANDLE);
    check_is("and never again what it named", exo_page_unmap(weak, SPARE, 1, 0), -EXO_EHANDLE);
    exo_cap_drop(fixed);
}

static void check_narrowing(void)
{
    exo_handle_t part = grant_self(EXO_FIRST_MMIO, EXO_RIGHTS_ALL, uart_at, PAGE_SIZE);

    check_is("K18 device registers can be granted by part",
             exo_mmio_map(part, EXO_SELF_SPACE, SPARE, uart_at, 1, EXO_PROT_READ), 1);
    exo_page_unmap(EXO_SELF_SPACE, SPARE, 1, 0);
    check_is("K18 and nothing beside that part",
             exo_mmio_map(part, EXO_SELF_SPACE, SPARE, uart_at + PAGE_SIZE, 1, EXO_PROT_READ), -EXO_ERANGE);
    check_is("K18 nor more of it", exo_mmio_map(part, EXO_SELF_SPACE, SPARE, uart_at, 2, EXO_PROT_READ),
             -EXO_ERANGE);
    check_is("K20 a part cannot grow",
             exo_cap_grant(EXO_SELF_ENV, part, EXO_RIGHT_USE, uart_at, 2 * PAGE_SIZE), -EXO_ERANGE);
    check_is("K20 nor wrap", exo_cap_grant(EXO_SELF_ENV, part, EXO_RIGHT_USE, uart_at, 0 - uart_at),
             -EXO_ERANGE);
    check_is("K20 nor be unaligned", exo_cap_grant(EXO_SELF_ENV, part, EXO_RIGHT_USE, uart_at + 4, 8),
             -EXO_ERANGE);
    check_is("K20 nor be empty", exo_cap_grant(EXO_SELF_ENV, part, EXO_RIGHT_USE, uart_at, 0), -EXO_ERANGE);
    exo_cap_drop(part);
}

static void check_revocation(void)
{
    exo_handle_t parent = grant_self(EXO_SELF_SPACE, EXO_RIGHTS_ALL, 0, 0);
    exo_handle_t child = grant_self(parent, EXO_RIGHTS_ALL, 0, 0);
    exo_handle_t grandchild = grant_self(child, EXO_RIGHTS_ALL, 0, 0);

    check("grants of grants", (int32_t)grandchild > 0);
    while (exo_cap_revoke(parent) > 0)
        ;
    check_is("K27 revoking takes what was derived", exo_page_unmap(child, SPARE, 1, 0), -EXO_EHANDLE);
    check_is("K27 and what was derived from that", exo_page_unmap(grandchild, SPARE, 1, 0), -EXO_EHANDLE);
    check_is("and leaves the capability itself", exo_page_unmap(parent, SPARE, 1, 0), 1);
    child = grant_self(parent, EXO_RIGHTS_ALL, 0, 0);
    exo_cap_drop(parent);
    check_is("what was derived outlives a drop", exo_page_unmap(child, SPARE, 1, 0), 1);
    exo_cap_drop(child);
}

static void check_table_full(void)
{
    uint64_t before = free_frames();
    exo_handle_t first = grant_self(EXO_SELF_SPACE, EXO_RIGHTS_ALL, 0, 0);
    unsigned count = 0;
    int64_t rc;

    while ((rc = exo_cap_grant(EXO_SELF_ENV, first, EXO_RIGHTS_ALL, 0, 0)) > 0)
        count++;
    check_is("a table that is full says so", rc, -EXO_EFULL);
    check("it holds more than 10,000 capabilities", count > 10000);
    while ((rc = exo_cap_revoke(first)) > 0)
        ;
    check_is("all of them are revoked", rc, 0);
    check("there is room again",
          exo_cap_drop((exo_handle_t)exo_cap_grant(EXO_SELF_ENV, first, EXO_RIGHTS_ALL, 0, 0)) == 0);
    exo_cap_drop(first);
    check("the table's frames are bounded by its size", before - free_frames() <= 512);
}

void check_caps(void)
{
    check_rights();
    check_narrowing();
    check_revocation();
    check_table_full();
}
