/* page_policy.c - the content security policy of a page that is one file. Hashes are made of what is there at the start of the
 * program, so that nobody has to remember them when the page is edited; should someone inject markup, it has none.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "agent/web/endpoints.h"

/* " 'sha256-...'" for each element of this name; with attributes, too. */
static void put_hashes(struct buf *o, const char *page, const char *open, const char *close)
{
	for (const char *p = page, *end; (p = strstr(p, open)); p = end) {
		unsigned char hash[32], text[48];

		p = strchr(p, '>');
		end = p ? strstr(++p, close) : NULL;
		if (!end)
			return;
		if (!EVP_Digest(p, (size_t)(end - p), hash, NULL, EVP_sha256(), NULL)) {
			o->failed = true;
			return;
		}
		EVP_EncodeBlock(text, hash, sizeof hash);
		buf_printf(o, " 'sha256-%s'", (const char *)text);
	}
}

int endpoints_policy(const char *page, char *dst, size_t n)
{
	struct buf o;
	bool fits;

	buf_init(&o, 4096);
	buf_puts(&o, "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; "
		 "form-action 'none'; frame-ancestors 'none'; script-src");
	put_hashes(&o, page, "<script", "</script>");
	buf_puts(&o, "; style-src");
	put_hashes(&o, page, "<style", "</style>");
	buf_puts(&o, "\r\n");
	fits = !o.failed && o.len < n;
	if (fits)
		memcpy(dst, o.data, o.len + 1);
	buf_release(&o);
	return fits ? 0 : ERR_NOMEM;
}
