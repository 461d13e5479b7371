# The campaign in awk: mawk -f campaign.awk loyalty.txt conversions.txt
#
# A set of members, one look-up an event. Fields are split at a comma and a space, as `adseg generate` writes them; this
# is faster than splitting at commas and stripping. NR == FNR detects rows of the list, so the list must not be empty.

BEGIN { FS = ", " }

NR == FNR { members[$1]; next }

$2 == "ClickConversion" && ($3 in members) { print "Send additional promo code to: " $3 ", True"; next }

$2 == "PurchaseConversion" { members[$3] }

{ print "Send additional promo code to: " $3 ", False" }
