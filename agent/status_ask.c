/* status_ask.c - questions about the status that the control socket is asked. */
#include <stdlib.h>
#include <string.h>

#include "agent/status.h"

/* "width=N", "color", "all", with spaces between. Whoever asks may be of another version: what is not known is passed over. */
static void read_view(const char *words, struct status_view *ret)
{
	*ret = (struct status_view){ 0 };
	for (size_t n; *words; words += n + strspn(words + n, " ")) {
		n = strcspn(words, " ");
		if (!strncmp(words, "width=", 6))
			ret->width = (unsigned)strtoul(words + 6, NULL, 10) % 10000;
		ret->color |= n == 5 && !strncmp(words, "color", n);
		ret->all |= n == 3 && !strncmp(words, "all", n);
	}
}

bool status_answer(struct pipeline *p, const char *question, struct buf *out)
{
	static const struct { const char *text; enum status_what what; bool json; } table[] = {
		{ "status json", STATUS_ALL, true }, { "status text", STATUS_ALL, false }, { "history json", STATUS_HISTORY, true },
		{ "positions json", STATUS_POSITIONS, true }, { "positions text", STATUS_POSITIONS, false },
	};
	struct status_view view;
	struct status s;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		size_t n = strlen(table[i].text);

		if (strncmp(table[i].text, question, n) || (question[n] && question[n] != ' '))
			continue;
		if (status_online(p, table[i].what, &s) < 0)
			return false;
		read_view(question + n + strspn(question + n, " "), &view);
		if (table[i].what == STATUS_ALL && !table[i].json)
			status_write_text(&s, &view, out);
		else
			status_write(&s, table[i].what, table[i].json, out);
		status_release(&s);
		return true;
	}
	return false;
}
