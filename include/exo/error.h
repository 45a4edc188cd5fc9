/* The kernel's errors: one list, a sentence for each.
 * A call returns 0 or a count on success, and the negative of one of these otherwise. */
#ifndef EXO_ERROR_H
#define EXO_ERROR_H

/* X(number, name, sentence) */
#define EXO_ERRORS(X)                                                                                        \
    X(1, EXO_ENOCALL, "there is no call of this number")                                                     \
    X(2, EXO_EHANDLE, "the handle names no capability of this environment")                                  \
    X(3, EXO_ETYPE, "the capability is of another type than the call needs")                                 \
    X(4, EXO_ERIGHTS, "the capability or binding does not carry the rights that the call needs")             \
    X(5, EXO_EDEAD, "the object that the capability named is gone")                                          \
    X(6, EXO_EINVAL, "an argument is not one of the values that the call knows")                             \
    X(7, EXO_ERANGE, "a range wraps, is not page aligned, or lies outside what the call may touch")          \
    X(8, EXO_ENOMEM, "no free frame that fits the request is left in the machine")                           \
    X(9, EXO_EQUOTA, "the account's limit does not cover the request")                                       \
    X(10, EXO_EUNBOUND, "no page is bound at the address")                                                   \
    X(11, EXO_EBOUND, "a page is bound at the address already")                                              \
    X(12, EXO_EBUSY, "the object is in use in a way that excludes the request")                              \
    X(13, EXO_ETIMEDOUT, "the deadline passed first")                                                        \
    X(14, EXO_EINTR, "an event that the caller listens for came first")                                      \
    X(15, EXO_EFULL, "the table or list that would have to grow is full")                                    \
    X(16, EXO_ESTATE, "the object's state does not allow the request")                                       \
    X(17, EXO_ETOKEN, "the reply token names no caller that waits for this virtual processor")               \
    X(18, EXO_EUNSUPPORTED, "this machine or this version of the kernel cannot do what the call asks for")   \
    X(19, EXO_EVERSION, "the program was built for another version of the kernel's interface")               \
    X(20, EXO_EUNTRUSTED,                                                                                    \
      "nothing keeps the device to what is bound, and the capability does not say that its holder is "       \
      "trusted")

enum exo_error {
#define EXO_ERROR_ENUM(number, name, sentence) name = number,
    EXO_ERRORS(EXO_ERROR_ENUM)
#undef EXO_ERROR_ENUM
};

#endif
