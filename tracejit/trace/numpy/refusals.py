"""What NumPy has and a traced function has not: each name with the reason and what to do instead."""

_GROUPS = (
    ("the text of an array is made of its content", "print or format the result outside the jitted function",
     "numpy.array2string numpy.array_repr numpy.array_str"),
    ("files are read and written while Python runs", "read and write files outside the jitted function",
     "numpy.fromfile numpy.genfromtxt numpy.load numpy.loadtxt numpy.fromregex numpy.memmap numpy.save numpy.savetxt "
     "numpy.savez numpy.savez_compressed ndarray.tofile ndarray.dump"),
    ("it reads Python's objects, not arrays", "make the array outside the jitted function and pass it in",
     "numpy.frombuffer numpy.fromiter numpy.fromstring"),
    ("a graph holds no dates", "work on the integers of x.view('i8')",
     "numpy.busday_count numpy.busday_offset numpy.datetime_as_string numpy.datetime_data numpy.is_busday "
     "numpy.isnat"),
    ("a graph holds no text", "work on strings outside the jitted function, and on their codes inside",
     "count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace istitle isupper rfind "
     "rindex startswith str_len _center _expandtabs _expandtabs_length _ljust _lstrip_chars _lstrip_whitespace "
     "_partition _partition_index _replace _rjust _rpartition _rpartition_index _rstrip_chars _rstrip_whitespace "
     "_slice _strip_chars _strip_whitespace _zfill"),
    ("the memory of a traced array is not there yet", "use it outside the jitted function",
     "ndarray.ctypes ndarray.data"),
    ("a graph holds no structured items", "use .view(dtype)", "ndarray.getfield ndarray.setfield"),
)

#: Name → (reason, what to do): ``numpy.f`` for functions, bare names for ufuncs on text, ``ndarray.m`` for methods.
REFUSALS = {name: (reason, do) for reason, do, names in _GROUPS for name in names.split()}
